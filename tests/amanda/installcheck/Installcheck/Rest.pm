# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Replaces upstream's module of this name, which asks a REST server over HTTP: the same requests go directly to the functions that
# the server calls (rest-server/bin/app.pl), each in a separate process as there. So the tests need neither Dancer nor starman.
package Installcheck::Rest;

use strict;
use warnings;
use JSON;
use Amanda::Rest::Report;
use Amanda::Rest::Runs;
use Amanda::Rest::Status;

my %handlers = (
    'POST runs/amdump' => \&Amanda::Rest::Runs::amdump,
    'GET runs'         => \&Amanda::Rest::Runs::list,
    'GET report'       => \&Amanda::Rest::Report::report,
    'GET status'       => \&Amanda::Rest::Status::current,
);
my $json = JSON->new->allow_nonref->allow_blessed->convert_blessed;

sub new  { return bless {}, shift; }
sub stop { }

sub get { my ($self, $url) = @_; return handle('GET', $url, ''); }
sub post { my ($self, $url, $body) = @_; return handle('POST', $url, $body); }

sub handle {
    my ($method, $url, $body) = @_;
    my ($configuration, $path, $query) = $url =~ m{/configs/([^/]+)/([^?]+)(?:\?(.*))?$} or die "cannot read $url";
    my $handler = $handlers{"$method $path"} or die "no handler for $method $path";
    my %parameters = (CONF => $configuration, map { split /=/, $_, 2 } split /&/, $query // '');
    %parameters = (%parameters, %{ $json->decode($body) }) if $body;
    pipe(my $reader, my $writer) or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $reader;
        my ($status, $result) = $handler->(%parameters);
        print $writer $json->encode({ http_code => $status, body => $result });
        close $writer;
        # Skip a test's own END code.
        POSIX::_exit(0);
    }
    close $writer;
    # A run that a handler starts may keep the pipe open: the answer is one line.
    my $answer = <$reader>;
    waitpid $pid, 0;
    return $json->decode($answer);
}

1;
