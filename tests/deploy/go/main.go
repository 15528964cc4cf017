// Command deploy reads the files of Headrace's deployment kit as the tools of an operator read them.
//
//	deploy compose FILE...   print a Compose project as JSON, as `docker compose config` does
//	deploy manifests         read Kubernetes manifests from standard input and print them as JSON, one a line
//
// Both refuse what Docker Compose or a Kubernetes API server would refuse: unknown fields, wrong types, duplicate keys.
// The exit code is then 1, with the reason on standard error.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	yamljson "sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) > 1 && arguments[0] == "compose" {
		return compose(arguments[1:])
	}
	if len(arguments) == 1 && arguments[0] == "manifests" {
		return manifests(os.Stdin)
	}
	return errors.New("usage: deploy compose FILE... | deploy manifests <FILE")
}

// compose loads the files with the library of `docker compose`: interpolated from the environment, merged, validated
// against the Compose specification. All profiles are included.
func compose(files []string) error {
	options, err := cli.NewProjectOptions(files, cli.WithOsEnv, cli.WithProfiles([]string{"*"}))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

// manifests decodes each document into the type of its kind, strictly.
func manifests(input io.Reader) error {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(input))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := yamljson.YAMLToJSONStrict(document)
		if err != nil {
			return fmt.Errorf("%w in\n%s", err, document)
		}
		if string(text) == "null" {
			continue
		}
		if err := decode(decoder, text); err != nil {
			return fmt.Errorf("%w in\n%s", err, document)
		}
	}
}

func decode(decoder runtime.Decoder, text []byte) error {
	if _, _, err := decoder.Decode(text, nil, nil); err != nil {
		return err
	}
	var line json.RawMessage = text
	printed, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(printed))
	return err
}
