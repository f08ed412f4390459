"""What a process needs beside the stream: settings, metrics, health."""
