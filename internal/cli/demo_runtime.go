package cli

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// The calls that the demo's runtime understands, as Node.js programs write them.
var (
	readCall    = regexp.MustCompile(`readFileSync\('([^']+)'\)`)
	timeoutCall = regexp.MustCompile(`setTimeout\(.*, (\d+)\)`)
	connectCall = regexp.MustCompile(`connect\((\d+), '([^']+)'\)`)
)

// newDemoRuntime is what runs bundle.js inside the demo's container: a machine need not have Node.js for
// the demo, and the container gets no file from it but this program.
func newDemoRuntime() *cobra.Command {
	return &cobra.Command{
		Use: "runtime FILE", Short: "Run a JavaScript file of the demo, inside its container", Hidden: true,
		Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			script, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			for _, call := range readCall.FindAllSubmatch(script, -1) {
				secret, err := os.ReadFile(string(call[1]))
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "read %d bytes of %s\n", len(secret), call[1])
			}
			for _, call := range timeoutCall.FindAllSubmatch(script, -1) {
				if ms, err := strconv.Atoi(string(call[1])); err == nil {
					time.Sleep(time.Duration(ms) * time.Millisecond)
				}
			}
			for _, call := range connectCall.FindAllSubmatch(script, -1) {
				address := net.JoinHostPort(string(call[2]), string(call[1]))
				conn, err := net.DialTimeout("tcp", address, 2*time.Second)
				if err != nil {
					return fmt.Errorf("dial %s: %w", address, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "sent to %s\n", address)
				conn.Close()
			}
			return nil
		},
	}
}
