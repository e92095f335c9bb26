namespace Vfio.Drivers.Nvme;

/// <summary>How a request becomes commands.</summary>
internal enum RequestKind
{
    /// <summary>One command, sent as its template is.</summary>
    Command,

    /// <summary>A range of blocks, in as many commands as the limits ask for, with data or without.</summary>
    Transfer,

    /// <summary>A range of blocks in dataset management ranges.</summary>
    Ranges,
}
