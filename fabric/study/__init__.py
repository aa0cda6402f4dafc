"""Many runs of the layers below, and measurements held against them."""
