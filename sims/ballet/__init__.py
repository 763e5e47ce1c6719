"""Ballet: dancers dance one after the other, and much later the agent is asked which of them danced what."""
