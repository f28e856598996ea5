"""Infrastructure providers: the external systems that hold resources, behind one small Protocol."""
