// The official Go SDK, unmodified, runs every operation against a live server.
//
// One line of JSON per operation says what was sent and received; the first wrong thing ends the program with status 1.
// It decides what is wrong with decoded values; the caller checks the bytes, which this SDK forgives much of.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	formance "github.com/formancehq/formance-sdk-go/v3"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/shared"
)

// The SDK's own, which is not applied to a client that is handed in.
const timeout = 60 * time.Second

// operation is one call of the API as its user makes it, with what must be true of its result.
type operation struct {
	version string
	name    string
	run     func(*life) error
}

type line struct {
	Version   string     `json:"version"`
	Operation string     `json:"operation"`
	Calls     []exchange `json:"calls"`
	Bugs      []bug      `json:"bugs,omitempty"`
	Failure   string     `json:"failure,omitempty"`
}

type arguments struct {
	url          string
	ledger       string
	clientID     string
	clientSecret string
	tokenURL     string
}

func main() {
	var given arguments
	flag.StringVar(&given.url, "url", "", "root of the server; the SDK appends /api/orchestration")
	flag.StringVar(&given.ledger, "ledger", "", "a ledger the server can write to")
	flag.StringVar(&given.clientID, "client-id", "", "with -client-secret: ask for tokens")
	flag.StringVar(&given.clientSecret, "client-secret", "", "")
	flag.StringVar(&given.tokenURL, "token-url", "", "another than the SDK's own")
	flag.Parse()
	if given.url == "" || given.ledger == "" {
		flag.Usage()
		os.Exit(2)
	}
	if !runAll(given, append(v1Operations, v2Operations...)) {
		os.Exit(1)
	}
}

func runAll(given arguments, operations []operation) bool {
	recording := &recorder{}
	told := json.NewEncoder(os.Stdout)
	living := newLife(given, newSDK(given, recording), recording)
	for _, one := range operations {
		err := one.run(living)
		said := line{one.version, one.name, recording.take(), living.takeBugs(), ""}
		if err != nil {
			said.Failure = err.Error()
		}
		if written := told.Encode(said); written != nil || err != nil {
			fmt.Fprintln(os.Stderr, one.version, one.name, err, written)
			return false
		}
	}
	return true
}

func newSDK(given arguments, recording *recorder) *formance.Formance {
	options := []formance.SDKOption{
		formance.WithServerURL(given.url),
		formance.WithClient(&http.Client{Timeout: timeout, Transport: recording}),
	}
	if given.clientID != "" {
		options = append(options, formance.WithSecurity(security(given)))
	}
	return formance.New(options...)
}

func security(given arguments) shared.Security {
	security := shared.Security{ClientID: &given.clientID}
	if given.clientSecret != "" {
		security.ClientSecret = &given.clientSecret
	}
	if given.tokenURL != "" {
		security.TokenURL = &given.tokenURL
	}
	return security
}

func newLife(given arguments, sdk *formance.Formance, recording *recorder) *life {
	return &life{
		context:   context.Background(),
		api:       sdk.Orchestration.V1,
		second:    secondLife{api: sdk.Orchestration.V2},
		recording: recording,
		url:       given.url,
		ledger:    given.ledger,
		tag:       fmt.Sprintf("go-%x", time.Now().UnixNano()),
	}
}
