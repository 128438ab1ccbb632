"""Amazon Bedrock's Converse API: its requests, its binary streams, and their events read as chunks of a reply."""
