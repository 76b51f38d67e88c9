// Package bench is what the programs that measure share: processes on some
// cores, addresses for them, and the page that their figures go to. How figures
// come about is each program's own.
package bench
