package main

import "slices"

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// undisturbed is the value that a tenth lies below: what a batch takes that nobody else's work came into,
// without the luck that is in the very least.
func undisturbed(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/10]
}

// interval returns between which two values the median lies with at least 95 %, whatever the
// distribution: the kth from either end, where fewer than k of n throws of a coin are that rare. With
// fewer than six values there is no such k, and the whole range is returned.
func interval(of []float64) (low, high float64) {
	sorted := slices.Sorted(slices.Values(of))
	n := len(sorted)
	k, below, exactly := 0, 0.0, 1.0
	for range n {
		exactly /= 2
	}
	for below+exactly <= 0.025 && k < n {
		below += exactly
		exactly *= float64(n-k) / float64(k+1)
		k++
	}
	k = max(k, 1)
	return sorted[k-1], sorted[n-k]
}
