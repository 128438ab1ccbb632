"""What people look at: the widget, text and static HTML, all made from the run's state."""
