package framingtest

// Violations returns what Run would report, by the name of the property,
// and an incomplete case as "case says enough".
func Violations(c Case) map[string]error {
	violations := map[string]error{}
	if err := saysEnough(c); err != nil {
		violations["case says enough"] = err
		return violations
	}
	c = c.withDefaults()
	for _, p := range properties {
		if p.counts && raceDetector {
			continue
		}
		if err := p.check(c); err != nil {
			violations[p.name] = err
		}
	}
	return violations
}

// What Fuzz does with one input.
var (
	CheckStream  = checkStream
	CheckMessage = checkAnyMessage
)

// RaceDetector says whether allocations can be counted.
const RaceDetector = raceDetector
