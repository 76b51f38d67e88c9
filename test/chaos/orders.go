package chaos

import "flamingo/idspace"

// SubjectVariable is the environment variable that holds the Setup of a subject,
// as JSON.
const SubjectVariable = "FLAMINGO_TEST_SUBJECT"

// A Setup is what a subject is started with.
type Setup struct {
	Name    string
	Listen  string // address for clients
	Cluster string // address for nodes
	Join    []string
	Expect  int
	DataDir string
	Pace    int    // milliseconds between two rounds of messages
	Crowd   int    // connections at most
	KeyFile string // of the cluster's key; empty: clear text
}

// An Order is what a subject is told, a line of JSON on its standard input. The
// answer is a Record of kind Answered that has the tag.
type Order struct {
	Tag   int
	Do    Verb
	IDs   []idspace.ID `json:",omitempty"`
	Count int          `json:",omitempty"`
}

// Verb is what an Order is about.
type Verb string

// The orders.
const (
	Target  Verb = "target"  // send to IDs, too
	Kick    Verb = "kick"    // SendClose to each of IDs
	Rush    Verb = "rush"    // a round of messages every Count milliseconds from now on; 0: as in the Setup
	Rest    Verb = "rest"    // send no more; answered when every send has its answer
	Settle  Verb = "settle"  // one more message to each of IDs, written
	Tell    Verb = "tell"    // print links and counts
	Race    Verb = "race"    // have Count nodes of this process ask for numbers, and end them
	Leave   Verb = "leave"   // close the node and end
	Drain   Verb = "drain"   // drain the node over Count milliseconds, close it and end
	Join    Verb = "join"    // have each of IDs join GroupElsewhere
	Retire  Verb = "retire"  // retire the number in IDs, once its node is away
	Intrude Verb = "intrude" // have nodes without the cluster's key ask for a number, for Count milliseconds
)
