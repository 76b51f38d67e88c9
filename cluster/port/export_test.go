package port

// Hooks for the tests of package port_test.
var (
	AppendPreamble = appendPreamble
	ParsePreamble  = parsePreamble
)

// PreambleLen is the length of a preamble.
const PreambleLen = preambleLen

// DefaultNetwork returns the operating system as a Network.
func DefaultNetwork() Network { return Network{}.withDefaults() }
