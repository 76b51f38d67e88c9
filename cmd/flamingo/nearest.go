package main

// nearest returns the candidate that is most like word, if any could be meant.
func nearest(word string, candidates []string) string {
	best, least := "", max(2, len(word)/3)
	for _, c := range candidates {
		if d := distance(word, c); d <= least && (d < least || best == "") {
			best, least = c, d
		}
	}
	return best
}

// distance is the number of bytes to insert, to remove or to replace that make
// a of b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
