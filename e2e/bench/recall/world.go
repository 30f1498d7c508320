package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
)

// plan is what the agents' process is told.
type plan struct {
	Server   string
	Baseline string
	Tokens   []string
}

// world is a real server, the bare one, and a process of agents that are connected to both.
type world struct {
	app      *app.App
	url      string
	baseline *baseline
	agents   *exec.Cmd
	stop     context.CancelFunc
	ended    chan error
}

func newWorld(ctx context.Context, folder string, agents int) (_ *world, err error) {
	w := &world{ended: make(chan error, 1)}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.app, err = app.Open(ctx, app.Config{Data: filepath.Join(folder, "data"), Listen: "127.0.0.1:0"}); err != nil {
		return nil, err
	}
	server, err := w.app.Listen()
	if err != nil {
		return nil, err
	}
	w.url = server.URL
	running, cancel := context.WithCancel(ctx)
	w.stop = cancel
	go func() { w.ended <- server.Run(running) }()
	if w.baseline, err = newBaseline(); err != nil {
		return nil, err
	}
	p := plan{Server: w.url, Baseline: w.baseline.url}
	if p.Tokens, err = w.enrol(ctx, agents); err != nil {
		return nil, err
	}
	return w, w.startAgents(ctx, folder, p)
}

func (w *world) enrol(ctx context.Context, agents int) ([]string, error) {
	fmt.Fprintf(os.Stderr, "bench: enrolling %d agents\n", agents)
	admin, err := w.app.Accounts.AuthenticateSecret(ctx, "token", w.app.AdminToken, "127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	tokens := make([]string, agents)
	for i := range tokens {
		tokens[i], _, err = w.app.Accounts.Enrol(ctx, admin, account.Enrolment{
			Kind: account.AgentMember, Cluster: "bench", Name: fmt.Sprintf("node-%04d", i),
		})
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// startAgents starts the other process and returns when every agent has everything.
func (w *world) startAgents(ctx context.Context, folder string, p plan) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	file := filepath.Join(folder, "plan.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w.agents = exec.CommandContext(ctx, self, "-child", file)
	w.agents.Stderr = os.Stderr
	said, err := w.agents.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.agents.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if line != "ready\n" {
		return fmt.Errorf("the agents did not come up: %q, %w", line, err)
	}
	return nil
}

// recall makes one recall through the interface that people use, and waits for every receipt.
func (w *world) recall(ctx context.Context, round int) (result, error) {
	body := fmt.Sprintf(`{"subject": "pkg:npm/bench-%d@1.0.0", "reason": "measured"}`, round)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/api/v1/recalls", bytes.NewBufferString(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.app.AdminToken)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var made struct {
		Seq int64     `json:"seq"`
		At  time.Time `json:"at"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || answer.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("status %d, %w", answer.StatusCode, err)
	}
	return w.receipts(ctx, made.Seq, made.At)
}

// receipts waits until no member is missing. The time of a receipt is when its statement was dated, and of
// the last one when it could be read.
func (w *world) receipts(ctx context.Context, seq int64, from time.Time) (result, error) {
	members, err := w.app.Accounts.Fleet(ctx)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(time.Minute)
	for count := 0; count < len(members); {
		err := w.app.DB.Query().QueryRowContext(ctx, `SELECT count(*) FROM receipt WHERE recall_seq = $1 AND gate = 'run'`, seq).Scan(&count)
		if err != nil {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("only %d of %d receipts after a minute", count, len(members))
		}
		time.Sleep(5 * time.Millisecond)
	}
	whole := time.Since(from)
	rows, err := w.app.DB.Query().QueryContext(ctx, `SELECT at FROM receipt WHERE recall_seq = $1 AND gate = 'run'`, seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out result
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, err
		}
		out = append(out, at.Sub(from))
	}
	slices.Sort(out)
	out[len(out)-1] = whole
	return out, rows.Err()
}

func (w *world) close() {
	if w.agents != nil && w.agents.Process != nil {
		_ = w.agents.Process.Kill()
		_ = w.agents.Wait()
	}
	if w.baseline != nil {
		w.baseline.close()
	}
	var err error
	if w.stop != nil {
		w.stop()
		err = <-w.ended
	}
	if w.app != nil {
		err = errors.Join(err, w.app.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: the server ended with", err)
	}
}
