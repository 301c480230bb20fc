"""The names of the files of a model: of its checkpoint, of its training, of its page."""

CONFIG, WEIGHTS, CURVE = "config.json", "model.safetensors", "rd_curve.json"
RECIPE, METRICS = "recipe.toml", "metrics.jsonl"
README = "README.md"
CURVE_PICTURE, RECONSTRUCTIONS, SAMPLES = "rd_curve.png", "reconstructions.png", "samples.png"
