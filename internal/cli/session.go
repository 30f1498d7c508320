package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/fault"
)

// defaultServer is where 'hullmark dev' listens.
const defaultServer = "http://127.0.0.1:4873"

// credentials is what login keeps: the last server and, per server, a token.
type credentials struct {
	Server string            `json:"server"`
	Tokens map[string]string `json:"tokens"`
}

// client returns a client for the server that the flag, $HULLMARK_URL or the last login names,
// with the token of $HULLMARK_TOKEN or of the login. A token is never a flag: it would be in the
// process list and in the shell's history.
func (e *env) client() (*client.Client, error) {
	kept, err := loadCredentials()
	if err != nil {
		return nil, err
	}
	server := strings.TrimSuffix(firstOf(e.server, os.Getenv("HULLMARK_URL"), kept.Server, defaultServer), "/")
	c, err := client.New(server, firstOf(os.Getenv("HULLMARK_TOKEN"), kept.Tokens[server]))
	if err != nil {
		return nil, err
	}
	return c.WithFactor(e.otp, e.askFactor(c)), nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func credentialsFile() (string, error) {
	folder, err := os.UserConfigDir()
	return filepath.Join(folder, "hullmark", "credentials.json"), err
}

func loadCredentials() (credentials, error) {
	c := credentials{Tokens: map[string]string{}}
	file, err := credentialsFile()
	if err != nil {
		return c, nil // no home: nothing was kept
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return c, fmt.Errorf("read %s: %w", file, err)
	}
	return c, nil
}

func newLogin(e *env) *cobra.Command {
	var stdin bool
	cmd := &cobra.Command{
		Use: "login --token-stdin", Short: "Keep a token for a server, for the next commands", GroupID: "account",
		Long: `Check a token with the server and keep it in the user's configuration folder, readable by you only.
The token is read from standard input, so that it stays out of the process list and the shell's history.`,
		Example: "  hullmark login --token-stdin --server http://127.0.0.1:4873 < token",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !stdin {
				return usageError{errors.New("give the token on standard input, with --token-stdin")}
			}
			token, err := readSecret(e.In)
			if err != nil {
				return err
			}
			server := strings.TrimSuffix(firstOf(e.server, os.Getenv("HULLMARK_URL"), defaultServer), "/")
			c, err := client.New(server, token)
			if err != nil {
				return err
			}
			who, err := c.Whoami(cmd.Context())
			if err != nil {
				return err
			}
			if err := keep(server, token); err != nil {
				return err
			}
			e.say("logged in to %s as %s", server, who.Account)
			return nil
		},
	}
	cmd.Flags().BoolVar(&stdin, "token-stdin", false, "read the token from standard input")
	return cmd
}

func keep(server, token string) error {
	c, err := loadCredentials()
	if err != nil {
		return err
	}
	file, err := credentialsFile()
	if err != nil {
		return err
	}
	c.Server, c.Tokens[server] = server, token
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(file, raw, 0o600)
}

// readSecret reads one line.
func readSecret(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", fault.New(fault.Invalid, "secret-missing", "standard input holds no secret; pipe it in: hullmark login --token-stdin < file")
	}
	return line, nil
}

func newWhoami(e *env) *cobra.Command {
	cmd := asker(e, "whoami", "Who does the server take me for?",
		func(ctx context.Context, c *client.Client, _ []string) (resource.Whoami, error) { return c.Whoami(ctx) },
		func(p *output.Printer, who resource.Whoami) { p.Line("%s  (%s)", who.Account, who.Credential) })
	cmd.GroupID = "account"
	return cmd
}
