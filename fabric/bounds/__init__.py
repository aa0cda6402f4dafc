"""What no algorithm can beat: bounds of collectives by cuts, by chunks and latency, by hop distances."""
