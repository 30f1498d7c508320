package evidence

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/tlog"
)

// BundleType is the media type of a record bundle.
const BundleType = "application/vnd.hullmark.record.v1+json"

const (
	maxBundle     = 64 << 20 // bytes
	maxBundleLine = 1 << 20  // bytes; an entry, its quoting and its proof are far below
	pageSize      = 500      // statements read at a time
)

// Bundle is everything the record holds about one subject, with the proof of each statement: it
// is checked with [VerifyBundle], by anybody who has the log's public key, without a server.
//
// The encoding is JSON with one statement a line. It is canonical: a reader refuses any other
// spelling, so that no byte of it can change unnoticed.
type Bundle struct {
	header bundleHeader
	items  []bundleItem
}

type bundleHeader struct {
	MediaType  string `json:"mediaType"`
	Subject    string `json:"subject"`
	Checkpoint string `json:"checkpoint"` // signed note
}

type bundleItem struct {
	Statement json.RawMessage `json:"statement"` // the log entry, byte for byte
	Proof     []tlog.Hash     `json:"proof"`     // RFC 6962 inclusion proof
}

// Prover gives proofs from the log; *tlog.Log is one.
type Prover interface {
	Sequence(ctx context.Context) (tlog.Checkpoint, error)
	Inclusion(ctx context.Context, index, size int64) ([]tlog.Hash, error)
}

// Bundle gathers every statement about subject with its proof from log. It fails with code
// record-empty when there is none.
func (r *Record) Bundle(ctx context.Context, log Prover, subject string) (*Bundle, error) {
	checkpoint, err := log.Sequence(ctx)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	b := &Bundle{header: bundleHeader{MediaType: BundleType, Subject: subject, Checkpoint: string(checkpoint.Note)}}
	for after := int64(-1); ; {
		page, err := r.About(ctx, subject, after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			if after = s.Seq; s.Seq >= checkpoint.Size {
				continue // appended since; the next bundle has it
			}
			if err := b.add(ctx, r, log, s.Seq, checkpoint.Size); err != nil {
				return nil, err
			}
		}
		if len(page) < pageSize {
			break
		}
	}
	if len(b.items) == 0 {
		return nil, fault.New(fault.NotFound, "record-empty", "the record holds no statement about %s", subject)
	}
	return b, nil
}

func (b *Bundle) add(ctx context.Context, r *Record, log Prover, seq, size int64) error {
	entries, err := r.Entries(ctx, seq, seq+1)
	if err != nil {
		return err
	}
	proof, err := log.Inclusion(ctx, seq, size)
	if err != nil {
		return fmt.Errorf("bundle: statement %d: %w", seq, err)
	}
	b.items = append(b.items, bundleItem{Statement: entries[0], Proof: proof})
	return nil
}

// WriteTo writes the bundle's canonical encoding.
func (b *Bundle) WriteTo(w io.Writer) (int64, error) {
	var out bytes.Buffer
	header, err := marshal(b.header)
	if err != nil {
		return 0, err
	}
	out.Write(bytes.TrimSuffix(header, []byte("}")))
	out.WriteString(",\"statements\":[\n")
	for i, item := range b.items {
		line, err := marshal(item)
		if err != nil {
			return 0, err
		}
		out.Write(line)
		if i < len(b.items)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	out.WriteString("]}\n")
	return out.WriteTo(w)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Report is what a bundle proves.
type Report struct {
	Subject    string          `json:"subject"`
	Origin     string          `json:"origin"` // the log
	Size       int64           `json:"size"`   // of the log at the checkpoint
	Statements []ProvedItem    `json:"statements"`
	Limits     []string        `json:"limits"` // what the bundle as a whole does not prove
	Checkpoint tlog.Checkpoint `json:"-"`
}

// ProvedItem is a statement that the log holds, with what follows from that and what does not.
type ProvedItem struct {
	Statement    Statement `json:"statement"`
	Proves       string    `json:"proves"`
	DoesNotProve string    `json:"doesNotProve"`
}

// VerifyBundle checks a bundle against the log's public key, with no server and no network. Every
// failure is of kind Integrity and its text names the statement that does not hold.
func VerifyBundle(r io.Reader, verifier note.Verifier) (*Report, error) {
	lines, err := bundleLines(r)
	if err != nil {
		return nil, err
	}
	header, err := parseHeader(lines[0])
	if err != nil {
		return nil, err
	}
	checkpoint, err := openCanonical(header.Checkpoint, verifier)
	if err != nil {
		return nil, err
	}
	report := &Report{Subject: header.Subject, Origin: verifier.Name(), Size: checkpoint.Size, Limits: bundleLimits, Checkpoint: checkpoint}
	items := lines[1 : len(lines)-1]
	last := int64(-1)
	for i, line := range items {
		s, err := verifyItem(line, i, len(items), header.Subject, checkpoint)
		if err != nil {
			return nil, err
		}
		if s.Seq <= last {
			return nil, badStatement(i, len(items), s.name(), "it stands out of order or twice")
		}
		last = s.Seq
		report.Statements = append(report.Statements, proved(s))
	}
	return report, nil
}

// bundleLines splits a bundle into its header, its items and its closing line.
func bundleLines(r io.Reader) ([][]byte, error) {
	scanner := bufio.NewScanner(io.LimitReader(r, maxBundle))
	scanner.Buffer(nil, maxBundleLine)
	scanner.Split(splitLines)
	var lines [][]byte
	for scanner.Scan() {
		lines = append(lines, bytes.Clone(scanner.Bytes()))
	}
	if err := scanner.Err(); err != nil {
		return nil, malformed("it cannot be read to its end").Because(err)
	}
	if len(lines) < 3 {
		return nil, malformed("it has no statement")
	}
	if string(lines[len(lines)-1]) != "]}\n" {
		return nil, malformed("its last line is not the end that every bundle has, after statement %d", len(lines)-2)
	}
	return lines, nil
}

// splitLines keeps the newline and, unlike bufio.ScanLines, no carriage return is dropped.
func splitLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func malformed(format string, args ...any) *fault.Error {
	return fault.New(fault.Integrity, "bundle-malformed", "this is not an intact record bundle: %s", fmt.Sprintf(format, args...))
}

func parseHeader(line []byte) (bundleHeader, error) {
	var h bundleHeader
	const tail = ",\"statements\":[\n"
	body, ok := bytes.CutSuffix(line, []byte(tail))
	if !ok || strictUnmarshal(append(bytes.Clone(body), '}'), &h) != nil || h.MediaType != BundleType {
		return h, malformed("its first line, before statement 1, is not a bundle header")
	}
	return h, nil
}

// openCanonical opens the checkpoint and refuses a second spelling of its signatures: base64 has
// spare bits that a decoder ignores.
func openCanonical(signed string, verifier note.Verifier) (tlog.Checkpoint, error) {
	checkpoint, err := tlog.OpenCheckpoint([]byte(signed), verifier)
	if err != nil {
		return checkpoint, fmt.Errorf("the checkpoint, and with it every statement: %w", err)
	}
	for line := range strings.Lines(signed[strings.LastIndex(signed, "\n\n")+2:]) {
		fields := strings.Fields(line)
		sig := fields[len(fields)-1]
		raw, err := base64.StdEncoding.DecodeString(sig)
		if err != nil || base64.StdEncoding.EncodeToString(raw) != sig || strings.Join(fields, " ")+"\n" != line {
			return checkpoint, malformed("the checkpoint, which all statements rest on, has an irregular signature line")
		}
		if fields[1] != verifier.Name() {
			return checkpoint, malformed("the checkpoint, which all statements rest on, carries a signature that this key cannot check")
		}
	}
	return checkpoint, nil
}

func verifyItem(line []byte, i, n int, subject string, checkpoint tlog.Checkpoint) (Statement, error) {
	end := ",\n"
	if i == n-1 {
		end = "\n"
	}
	var item bundleItem
	body, ok := bytes.CutSuffix(line, []byte(end))
	if !ok || strictUnmarshal(body, &item) != nil {
		return Statement{}, badStatement(i, n, "", "its line is not intact JSON")
	}
	s, err := DecodeStatement(item.Statement)
	if err != nil {
		return s, badStatement(i, n, "", "it is not a statement").Because(err)
	}
	if err := checkpoint.Includes(item.Statement, s.Seq, item.Proof); err != nil {
		return s, badStatement(i, n, s.name(), "the log that the key signed does not hold it as it stands here").Because(err)
	}
	if !s.isAbout(subject) {
		return s, badStatement(i, n, s.name(), fmt.Sprintf("it is not about %s", subject))
	}
	return s, nil
}

// strictUnmarshal decodes body and checks that encoding the result gives body again.
func strictUnmarshal(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	again, err := marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, body) {
		return fmt.Errorf("not in canonical form")
	}
	return nil
}

func badStatement(i, n int, name, why string) *fault.Error {
	if name != "" {
		name = " (" + name + ")"
	}
	return fault.New(fault.Integrity, "statement-unproved", "statement %d of %d%s does not hold: %s", i+1, n, name, why)
}

// name says which statement s is, for people.
func (s Statement) name() string {
	kind := strings.TrimSuffix(strings.TrimPrefix(s.PredicateType, "https://hullmark.dev/"), "/v1")
	return fmt.Sprintf("seq %d, %s", s.Seq, kind)
}
