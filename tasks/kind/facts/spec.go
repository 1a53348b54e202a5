package facts

// Spec asks for the facts of one machine; it has no options.
type Spec struct{}
