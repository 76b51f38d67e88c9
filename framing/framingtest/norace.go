//go:build !race

package framingtest

const raceDetector = false
