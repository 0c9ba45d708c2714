"""Further or changed training pairs, sure of their labels: names masked, swapped or hidden, sentences rewritten."""
