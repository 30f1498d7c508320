package main

import "testing"

func TestTheIntervalIsThatOfTheSignTest(t *testing.T) {
	t.Parallel()
	// n and k as tables of the sign test have them at 5 %, two-sided.
	for n, k := range map[int]int{1: 1, 5: 1, 6: 1, 9: 2, 15: 4, 25: 8, 40: 14} {
		var values []float64
		for i := range n {
			values = append(values, float64(n-i))
		}
		low, high := interval(values)
		if low != float64(k) || high != float64(n+1-k) {
			t.Errorf("%d values: %v to %v, want the %d. from either end", n, low, high, k)
		}
	}
}
