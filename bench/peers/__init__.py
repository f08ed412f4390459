"""`python -m bench.peers`: this build beside other stream processors, its prototypes and an older build."""
