package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/signing/openpgp"
)

func newSigningKey(e *env) *cobra.Command {
	return group("key", "OpenPGP keys that the signatures of a namespace's files are checked with", "",
		newKeyAdd(e), newKeyList(e),
		e.sender("remove ECOSYSTEM PATTERN FINGERPRINT", "Take no more signatures of a key", "is no key of it any more",
			func(ctx context.Context, c *client.Client, args []string) error {
				return c.RemoveSigningKey(ctx, args[0], args[1], args[2])
			}))
}

func newKeyAdd(e *env) *cobra.Command {
	cmd := asker(e, "add ECOSYSTEM PATTERN FILE", "Pin a public key",
		func(ctx context.Context, c *client.Client, args []string) (resource.SigningKey, error) {
			public, err := readKey(args[2])
			if err != nil {
				return resource.SigningKey{}, err
			}
			return c.AddSigningKey(ctx, args[0], args[1], public)
		},
		func(p *output.Printer, k resource.SigningKey) { p.Line("%s  %s", k.Fingerprint, k.Identity) })
	cmd.Long = `Pin the public key that the releases of a namespace are signed with: FILE is what gpg --armor --export prints, or - for
standard input. A signature that comes beside a file (.asc) has to be one of a pinned key, or it is refused.`
	cmd.Example = "  gpg --armor --export releases@acme.example | hullmark namespace key add maven com.acme -"
	return cmd
}

// readKey reads a public key from a file, or from standard input.
func readKey(file string) (string, error) {
	in := io.ReadCloser(os.Stdin)
	var err error
	if file != "-" {
		in, err = os.Open(file)
	}
	if err != nil {
		return "", fault.New(fault.Invalid, "signing-key-invalid", "the key cannot be read from %s; name the file that gpg --armor --export wrote", file).Because(err)
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, openpgp.MaxKey+1))
	return string(raw), err
}

func newKeyList(e *env) *cobra.Command {
	return lister(e, "list ECOSYSTEM PATTERN", "List the keys of a namespace",
		func(ctx context.Context, c *client.Client, args []string) ([]resource.SigningKey, error) {
			return c.SigningKeys(ctx, args[0], args[1])
		},
		[]string{"FINGERPRINT", "IDENTITY", "ADDED BY", "ADDED"},
		func(k resource.SigningKey) []string {
			return []string{k.Fingerprint, k.Identity, k.AddedBy, k.Added.Format("2006-01-02")}
		})
}
