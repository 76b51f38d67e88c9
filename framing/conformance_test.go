package framing_test

import (
	"testing"

	"flamingo/framing/framingtest"
)

func TestEveryCodecConforms(t *testing.T) { framingtest.Run(t, allCases()...) }

func FuzzRaw(f *testing.F)       { framingtest.Fuzz(f, rawCases()...) }
func FuzzDelimited(f *testing.F) { framingtest.Fuzz(f, delimitedCases()...) }
func FuzzLine(f *testing.F)      { framingtest.Fuzz(f, lineCases()...) }
func FuzzLength(f *testing.F)    { framingtest.Fuzz(f, lengthCases()...) }
func FuzzFixed(f *testing.F)     { framingtest.Fuzz(f, fixedCases()...) }
func FuzzNetstring(f *testing.F) { framingtest.Fuzz(f, netstringCases()...) }
