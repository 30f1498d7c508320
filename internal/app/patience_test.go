package app_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/app"
)

// half sends a request of which only some bytes arrive.
func half(t *testing.T, address string) {
	t.Helper()
	client, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	_, err = io.WriteString(client, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf of it")
	must(t, err)
}

func TestABodyThatStopsComingIsCutOff(t *testing.T) {
	t.Parallel()
	cut := make(chan error, 1)
	server := httptest.NewServer(app.Impatient(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		cut <- err
	}), 10*time.Millisecond))
	defer server.Close()
	half(t, server.Listener.Addr().String())
	if err := <-cut; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it ended with: %v", err)
	}
}

func TestAnAnswerMayTakeLongerThanABody(t *testing.T) {
	t.Parallel()
	const patience = 10 * time.Millisecond
	server := httptest.NewServer(app.Impatient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			t.Error("the request was cancelled while it was answered")
		case <-time.After(10 * patience):
		}
		io.WriteString(w, "done")
	}), patience))
	defer server.Close()
	for range 2 { // the second on the same connection
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, http.NoBody)
		must(t, err)
		r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 1000)), 1000
		answer, err := server.Client().Do(r)
		must(t, err)
		if body, err := io.ReadAll(answer.Body); string(body) != "done" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		answer.Body.Close()
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
