module headrace/tests/conformance

go 1.22

require github.com/formancehq/formance-sdk-go/v3 v3.8.1

require golang.org/x/sync v0.8.0 // indirect
