package account

import (
	"net/netip"
	"sync"
	"time"
)

const (
	attemptWindow = time.Minute
	// maxWindows bounds the limiter's memory. It is more than the hashing of a minute lets through:
	// whoever sweeps with new addresses and names does not make it forget.
	maxWindows = 1 << 14
)

// attempt is something to count and how often it may happen in a window.
type attempt struct {
	key    string
	max    int
	window time.Duration
}

// attemptKeys limits failures per account and address, which stops guessing; per account, which
// slows guessing from many addresses and is high enough that it does not lock the user out at
// once; and per address, which slows trying one password on many accounts.
func attemptKeys(user string, from netip.Addr) []attempt {
	network := networkOf(from)
	return []attempt{
		{"both\x00" + user + "\x00" + network, 10, attemptWindow},
		{"user\x00" + user, 100, attemptWindow},
		{"address\x00" + network, 100, attemptWindow},
	}
}

// knownKeys limits who signs in from a network from which the right password came before. Its
// attempts are counted apart: guesses from elsewhere use up nothing of it.
func knownKeys(user string, from netip.Addr) []attempt {
	return []attempt{{"known\x00" + user + "\x00" + networkOf(from), 10, attemptWindow}}
}

// networkOf is the address, or the /64 of an IPv6 address: one caller has as many as they like.
func networkOf(addr netip.Addr) string {
	if addr.Is6() {
		p, _ := addr.Prefix(64) // 64 is in range: no error
		return p.String()
	}
	return addr.String()
}

// limiter counts attempts in fixed windows. It is safe for concurrent use.
type limiter struct {
	mu      sync.Mutex
	windows map[string]*window
}

type window struct {
	until time.Time
	count int
}

func newLimiter() *limiter { return &limiter{windows: map[string]*window{}} }

// peek reports whether take would count now.
func (l *limiter) peek(now time.Time, attempts []attempt) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open(now, attempts)
}

func (l *limiter) open(now time.Time, attempts []attempt) bool {
	for _, a := range attempts {
		if w := l.windows[a.key]; w != nil && now.Before(w.until) && w.count >= a.max {
			return false
		}
	}
	return true
}

// take counts an attempt under every key, or reports that one of them does not allow it and counts
// nothing: who is refused at one address must not use up what an account has at all others. It
// counts before the outcome is known, so that many at once do not slip through.
func (l *limiter) take(now time.Time, attempts []attempt) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	if !l.open(now, attempts) {
		return false
	}
	for _, a := range attempts {
		w := l.windows[a.key]
		if w == nil || !now.Before(w.until) {
			w = &window{until: now.Add(a.window)}
			l.windows[a.key] = w
		}
		w.count++
	}
	return true
}

// giveBack takes back an attempt that turned out well.
func (l *limiter) giveBack(attempts []attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range attempts {
		if w := l.windows[a.key]; w != nil && w.count > 0 {
			w.count--
		}
	}
}

// sweep forgets windows that have passed once there are many, and all of them should that not do.
func (l *limiter) sweep(now time.Time) {
	if len(l.windows) < maxWindows {
		return
	}
	for key, w := range l.windows {
		if !now.Before(w.until) {
			delete(l.windows, key)
		}
	}
	if len(l.windows) >= maxWindows {
		clear(l.windows)
	}
}
