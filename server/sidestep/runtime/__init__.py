"""The sandbox that runs scripts: Monty workers and the prelude inside them."""
