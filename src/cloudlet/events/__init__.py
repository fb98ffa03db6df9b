"""Facts on their way to those who must know: outbox, delivery, timers."""
