"""The payment adapter `bind`: transfers by BIND APIBank (Banco Industrial, Argentina) over HTTP."""
