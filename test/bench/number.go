package bench

import (
	"slices"
	"strconv"
)

// Grouped formats a number with commas: 1,234,567.
func Grouped(n int64) string {
	if n < 0 {
		return "-" + Grouped(-n)
	}
	digits := strconv.FormatInt(n, 10)
	var b []byte
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b = append(b, ',')
		}
		b = append(b, digits[i])
	}
	return string(b)
}

// Median returns the middle one of values, of which there is one at least.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Met is the word for a goal that was reached, or was not.
func Met(ok bool) string {
	if ok {
		return "met"
	}
	return "missed"
}
