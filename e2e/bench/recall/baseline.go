package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// messageSize and answerSize are about as long as an update with one recall, and a report of one receipt.
const (
	messageSize = 250
	answerSize  = 300
)

// baseline is what is left of the server without a record: streams, and answers that are counted.
type baseline struct {
	url    string
	server *http.Server

	mu      sync.Mutex
	wake    chan struct{} // closed when a round begins
	begun   time.Time
	answers result
	all     chan struct{} // closed when every answer is there
	wanted  int
}

func newBaseline() (*baseline, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &baseline{url: "http://" + l.Addr().String(), wake: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /watch", b.watch)
	mux.HandleFunc("POST /answer", b.answer)
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	b.server = &http.Server{Handler: mux, Protocols: p, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := b.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Println("bench: the bare server ended with", err)
		}
	}()
	return b, nil
}

func (b *baseline) watch(w http.ResponseWriter, r *http.Request) {
	conn := http.NewResponseController(w)
	message := make([]byte, messageSize)
	w.WriteHeader(http.StatusOK)
	if conn.Flush() != nil {
		return
	}
	for {
		b.mu.Lock()
		wake := b.wake
		b.mu.Unlock()
		select {
		case <-r.Context().Done():
			return
		case <-wake:
		}
		if _, err := w.Write(message); err != nil || conn.Flush() != nil {
			return
		}
	}
}

func (b *baseline) answer(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = append(b.answers, time.Since(b.begun))
	if len(b.answers) == b.wanted {
		close(b.all)
	}
	w.WriteHeader(http.StatusOK)
}

func (b *baseline) round(ctx context.Context, agents int) (result, error) {
	b.mu.Lock()
	b.answers, b.wanted, b.all, b.begun = nil, agents, make(chan struct{}), time.Now()
	all := b.all
	close(b.wake)
	b.wake = make(chan struct{})
	b.mu.Unlock()
	select {
	case <-all:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Minute):
		b.mu.Lock()
		defer b.mu.Unlock()
		return nil, fmt.Errorf("only %d of %d answers after a minute", len(b.answers), agents)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	out := slices.Clone(b.answers)
	slices.Sort(out)
	return out, nil
}

func (b *baseline) close() { _ = b.server.Close() }
