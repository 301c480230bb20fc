"""The Hugging Face Hub: loading, searching, pushing."""
