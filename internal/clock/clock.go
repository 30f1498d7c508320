// Package clock makes time an input. Production code holds a [Clock]; tests use testing/synctest
// or [Func] and never sleep.
package clock

import "time"

// Clock tells the time.
type Clock interface {
	// Now returns the current time in UTC.
	Now() time.Time
}

// System is the machine's clock.
type System struct{}

// Now returns the current time in UTC.
func (System) Now() time.Time { return time.Now().UTC() }

// Func is a clock made of a function.
type Func func() time.Time

// Now calls f.
func (f Func) Now() time.Time { return f() }
