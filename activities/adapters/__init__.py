"""Payment adapters: the external systems that move money, behind one small Protocol."""
