"""The names of files and folders: of a checkpoint, of a training, of a page, of the registry."""

CONFIG, WEIGHTS, CURVE, LATENTS = "config.json", "model.safetensors", "rd_curve.json", "latents.json"
SAMPLER = "sampler.safetensors"
DIFFUSERS_WEIGHTS = "diffusion_pytorch_model.safetensors"  # of a folder that diffusers wrote, beside its CONFIG
RECIPE, METRICS, STATES = "recipe.toml", "metrics.jsonl", "states"
ORIGIN, LOCK = "origin.json", ".lock"  # among the states, and in the run while it trains
RUN_PLOT = "curve.png"  # in a run, beside the reconstructions
README = "README.md"
CURVE_PLOT, RECONSTRUCTIONS, SAMPLES = "rd_curve.png", "reconstructions.png", "samples.png"
REGISTRY, PINS, INDEX = "registry", "pins.toml", "index.json"
