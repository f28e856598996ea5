"""Payment adapters: the outside that moves money, behind one small Protocol."""
