# Loaded into amidxtaped: a second passes between its choice of the data's path and its offer of the data.
package LateData;
use strict;
use warnings;

INIT {
    no warnings 'redefine';
    my $offer = \&Amanda::Service::Amidxtaped::notify_start_backup;
    *Amanda::Service::Amidxtaped::notify_start_backup = sub {
        sleep(1);
        return $offer->(@_);
    };
}

1;
