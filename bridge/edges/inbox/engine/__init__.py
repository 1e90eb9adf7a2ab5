"""How the inbox reaches its database: opens and migrates it, takes in webhooks in batches, listens for news.

Nothing here knows what a row means to people; the modules beside this folder do.
"""
