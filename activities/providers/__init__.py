"""Infrastructure providers: the outside that holds resources, behind one small Protocol."""
