package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/hullmark/hullmark/internal/fault"
)

// maxNote is the longest checkpoint in bytes that is read; one with a dozen cosignatures has about 2,000.
const maxNote = 64 << 10

// Checkpoint is a signed tree head (C2SP tlog-checkpoint).
type Checkpoint struct {
	Size int64     // how many entries the tree has
	Root Hash      // RFC 6962 hash of the tree
	Note []byte    // the signed note, as it is stored and served; not to be changed
	Time time.Time // when this process signed it; zero for one that was read, since a note carries no time
}

func signCheckpoint(origin string, size int64, root Hash, signer note.Signer) (Checkpoint, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign checkpoint: %w", err)
	}
	return Checkpoint{Size: size, Root: root, Note: signed}, nil
}

// OpenCheckpoint checks the signature of a checkpoint and reads it. The origin must be the
// verifier's name; signatures by other keys and extension lines are ignored, as the
// specification demands. It fails with code checkpoint-invalid.
func OpenCheckpoint(signed []byte, verifier note.Verifier) (Checkpoint, error) {
	c, err := openCheckpoint(signed, verifier)
	if err != nil {
		return Checkpoint{}, fault.New(fault.Integrity, "checkpoint-invalid",
			"this is not a checkpoint that the log %s signed with the key given; "+
				"compare the key with the one its operator published", verifier.Name()).Because(err)
	}
	return c, nil
}

func openCheckpoint(signed []byte, verifier note.Verifier) (Checkpoint, error) {
	if len(signed) > maxNote {
		return Checkpoint{}, fmt.Errorf("%d bytes are too long for a checkpoint", len(signed))
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, err
	}
	// Base64 that is not strict leaves bits of its last letter unread: a changed checkpoint
	// would pass for the one that was signed.
	if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
		return Checkpoint{}, fmt.Errorf("the signature was re-encoded: %w", err)
	}
	origin, size, root, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if origin != verifier.Name() {
		return Checkpoint{}, fmt.Errorf("the checkpoint is of %q, the key of %q", origin, verifier.Name())
	}
	return Checkpoint{Size: size, Root: root, Note: signed}, nil
}

// parseCheckpoint reads a checkpoint's text, which ends with a newline as every note's does.
func parseCheckpoint(text string) (origin string, size int64, root Hash, err error) {
	body, ok := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if !ok || len(lines) < 3 {
		return "", 0, Hash{}, errors.New("a checkpoint has three lines: origin, size and root")
	}
	for _, line := range lines {
		if line == "" {
			return "", 0, Hash{}, errors.New("a checkpoint has no empty line")
		}
	}
	size, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return "", 0, Hash{}, fmt.Errorf("%q is not a tree size", lines[1])
	}
	root, err = xtlog.ParseHash(lines[2])
	if err != nil || root.String() != lines[2] {
		return "", 0, Hash{}, fmt.Errorf("%q is not a root hash", lines[2])
	}
	return lines[0], size, root, nil
}
