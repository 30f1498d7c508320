package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
)

// atOnce bounds how many agents connect at a time.
const atOnce = 50

// beAgents connects every agent to both servers, says so, and answers until it is ended.
func beAgents(ctx context.Context, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	var ready sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	g, ctx := errgroup.WithContext(ctx)
	for _, token := range p.Tokens {
		ready.Add(2)
		up := func() { ready.Done(); <-slots }
		slots <- struct{}{}
		g.Go(func() error { return agent(ctx, p.Server, token, up) })
		slots <- struct{}{}
		g.Go(func() error { return bareAgent(ctx, p.Baseline, up) })
	}
	go func() {
		ready.Wait()
		fmt.Println("ready")
	}()
	return g.Wait()
}

// ownConnection is a client with a connection of its own, as agents on different nodes have.
func ownConnection(token string) *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: bearer{token, &http.Transport{Protocols: p, ReadBufferSize: 1024, WriteBufferSize: 1024}}}
}

type bearer struct {
	token string
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// agent watches recalls and answers each new one with a receipt.
func agent(ctx context.Context, server, token string, up func()) error {
	client := fleetv1connect.NewFleetClient(ownConnection(token), server)
	stream, err := client.Watch(ctx, connect.NewRequest(&fleetv1.WatchRequest{None: true}))
	if err != nil {
		return err
	}
	defer stream.Close()
	newest := int64(-1)
	for stream.Receive() {
		m := stream.Msg()
		if m.GetSynced() {
			up()
		}
		for _, r := range m.GetRecalls().GetRecalls() {
			if r.Seq <= newest {
				continue
			}
			newest = r.Seq
			if err := answer(ctx, client, r.Seq); err != nil {
				return err
			}
		}
	}
	return stream.Err()
}

func answer(ctx context.Context, client fleetv1connect.FleetClient, recall int64) error {
	predicate, err := json.Marshal(evidence.Decision{
		Gate: "run", Action: "recall", Verdict: "deny", Policy: "recall", Receipt: &evidence.Receipt{Recall: recall, Outcome: "nothing here"},
	})
	if err != nil {
		return err
	}
	_, err = client.Report(ctx, connect.NewRequest(&fleetv1.ReportRequest{
		Batch: fmt.Sprintf("receipt-%d", recall),
		Drafts: []*fleetv1.Draft{{
			Subjects: []*fleetv1.Subject{{Name: fmt.Sprintf("recall:%d", recall)}}, PredicateType: evidence.DecisionType, Predicate: predicate,
		}},
	}))
	return err
}

// bareAgent does the same with bytes that mean nothing.
func bareAgent(ctx context.Context, server string, up func()) error {
	client := ownConnection("")
	stream, err := post(ctx, client, server+"/watch", nil)
	if err != nil {
		return err
	}
	defer stream.Close()
	up()
	message := make([]byte, messageSize)
	for {
		if _, err := io.ReadFull(stream, message); err != nil {
			return err
		}
		body, err := post(ctx, client, server+"/answer", make([]byte, answerSize))
		if err != nil {
			return err
		}
		if err := body.Close(); err != nil {
			return err
		}
	}
}

func post(ctx context.Context, client *http.Client, url string, body []byte) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}
