package upstream

import (
	"net/http"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
)

// State is how an upstream has answered since the server started. Times are zero for never.
type State struct {
	Ecosystem, URL string
	Answered       time.Time // when it last answered
	Failed         time.Time // when it last did not: no connection, or a status of 500 and above
	Problem        string    // what it failed with then
}

// States returns the upstreams' states, by ecosystem and in the order in which they are asked.
func (c *Client) States() []State {
	var out []State
	for _, ecosystem := range ecosystems {
		for _, s := range c.sources[ecosystem] {
			s.heard.mu.Lock()
			out = append(out, State{ecosystem, s.base.String(), s.heard.answered, s.heard.failed, s.heard.problem})
			s.heard.mu.Unlock()
		}
	}
	return out
}

// hearing is a transport that remembers how an upstream answers.
type hearing struct {
	next  http.RoundTripper
	clock clock.Clock

	mu               sync.Mutex // guards what follows
	answered, failed time.Time
	problem          string
}

// RoundTrip implements http.RoundTripper.
func (h *hearing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := h.next.RoundTrip(r)
	now := h.clock.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil && r.Context().Err() != nil: // we hung up
	case err != nil:
		h.failed, h.problem = now, err.Error()
	case resp.StatusCode >= http.StatusInternalServerError:
		h.failed, h.problem = now, "status "+resp.Status
	default:
		h.answered = now
	}
	return resp, err
}
