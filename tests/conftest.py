"""Settings that every test runs under.  The first import of jax is below them."""

import os

_FLAG = "xla_force_host_platform_device_count"
if _FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --{_FLAG}=8".strip()

import hypothesis  # noqa: E402

# The same few examples on every machine: a failure in CI is a failure at home.
hypothesis.settings.register_profile(
    "default-ci", deadline=None, max_examples=12, derandomize=True
)
hypothesis.settings.load_profile("default-ci")
