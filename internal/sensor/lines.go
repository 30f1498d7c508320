package sensor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// linesQueue is how many lines may wait for a slow reader of standard output.
const linesQueue = 8192

// LineWriter prints lines without ever holding up who prints: what a slow reader leaves no room for is
// counted, and told as a gap once there is room.
type LineWriter struct {
	queue  chan Line
	missed atomic.Int64
}

// NewLineWriter returns a writer; Run does the writing.
func NewLineWriter() *LineWriter { return &LineWriter{queue: make(chan Line, linesQueue)} }

// Write takes a line to be printed.
func (w *LineWriter) Write(l Line) {
	select {
	case w.queue <- l:
	default:
		w.missed.Add(1)
	}
}

// Run prints to out until ctx ends, and then what waits.
func (w *LineWriter) Run(ctx context.Context, out io.Writer) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for {
		select {
		case l := <-w.queue:
			if err := enc.Encode(l); err != nil {
				return fmt.Errorf("print: %w", err)
			}
			if n := w.missed.Swap(0); n > 0 {
				gap := evidence.Gap{What: "standard output", Reason: fmt.Sprintf("%d lines were left out: the reader is too slow", n)}
				if err := enc.Encode(Line{Type: "gap", Time: time.Now().UTC(), Gap: &gap}); err != nil {
					return fmt.Errorf("print: %w", err)
				}
			}
		case <-ctx.Done():
			for {
				select {
				case l := <-w.queue:
					if err := enc.Encode(l); err != nil {
						return fmt.Errorf("print: %w", err)
					}
				default:
					return nil
				}
			}
		}
	}
}
