// Form `tied_rows`: MSA Transformer: rows of an alignment share one map; they are features of queries and keys, and of values.
// Read as: full, mask tensor, 2 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "mean", algorithm = "exact") : (!torch.vtensor<[4,2,31,50],f32>, !torch.vtensor<[4,2,31,50],f32>, !torch.vtensor<[4,2,31,50],f32>, !torch.vtensor<[1,2,1,31],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[5,31,2,4,10],f32>, %arg1: !torch.vtensor<[5,31,2,4,10],f32>, %arg2: !torch.vtensor<[2,31],i1>, %arg3: !torch.vtensor<[5,31,2,4,10],f32>) -> !torch.vtensor<[5,31,2,4,10],f32> {
    %float1.414210e-01 = torch.constant.float 0.1414213562373095
    %0 = torch.aten.mul.Scalar %arg0, %float1.414210e-01 : !torch.vtensor<[5,31,2,4,10],f32>, !torch.float -> !torch.vtensor<[5,31,2,4,10],f32>
    %int3 = torch.constant.int 3
    %int2 = torch.constant.int 2
    %int1 = torch.constant.int 1
    %int0 = torch.constant.int 0
    %int4 = torch.constant.int 4
    %1 = torch.prim.ListConstruct %int3, %int2, %int1, %int0, %int4 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %2 = torch.aten.permute %0, %1 : !torch.vtensor<[5,31,2,4,10],f32>, !torch.list<int> -> !torch.vtensor<[4,2,31,5,10],f32>
    %int-2 = torch.constant.int -2
    %int-1 = torch.constant.int -1
    %3 = torch.aten.flatten.using_ints %2, %int-2, %int-1 : !torch.vtensor<[4,2,31,5,10],f32>, !torch.int, !torch.int -> !torch.vtensor<[4,2,31,50],f32>
    %4 = torch.aten.permute %arg1, %1 : !torch.vtensor<[5,31,2,4,10],f32>, !torch.list<int> -> !torch.vtensor<[4,2,31,5,10],f32>
    %5 = torch.aten.flatten.using_ints %4, %int-2, %int-1 : !torch.vtensor<[4,2,31,5,10],f32>, !torch.int, !torch.int -> !torch.vtensor<[4,2,31,50],f32>
    %6 = torch.aten.permute %arg3, %1 : !torch.vtensor<[5,31,2,4,10],f32>, !torch.list<int> -> !torch.vtensor<[4,2,31,5,10],f32>
    %7 = torch.aten.flatten.using_ints %6, %int-2, %int-1 : !torch.vtensor<[4,2,31,5,10],f32>, !torch.int, !torch.int -> !torch.vtensor<[4,2,31,50],f32>
    %8 = torch.aten.unsqueeze %arg2, %int0 : !torch.vtensor<[2,31],i1>, !torch.int -> !torch.vtensor<[1,2,31],i1>
    %9 = torch.aten.unsqueeze %8, %int2 : !torch.vtensor<[1,2,31],i1>, !torch.int -> !torch.vtensor<[1,2,1,31],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %10 = torch.aten.where.Scalar %9, %float0.000000e00, %float-Inf : !torch.vtensor<[1,2,1,31],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,2,1,31],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %11 = torch.aten.to.dtype %10, %int6, %false, %false, %none : !torch.vtensor<[1,2,1,31],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,2,1,31],f32>
    %12:2 = torch.operator "torch.hyper.attention"(query = %3, key = %5, value = %7, bias = %11, empty_rows = "mean", algorithm = "exact") : (!torch.vtensor<[4,2,31,50],f32>, !torch.vtensor<[4,2,31,50],f32>, !torch.vtensor<[4,2,31,50],f32>, !torch.vtensor<[1,2,1,31],f32>) -> (!torch.vtensor<[4,2,31,50],f32>, !torch.vtensor<[4,2,31],f32>) 
    %int5 = torch.constant.int 5
    %int10 = torch.constant.int 10
    %13 = torch.prim.ListConstruct %int5, %int10 : (!torch.int, !torch.int) -> !torch.list<int>
    %14 = torch.aten.unflatten.int %12#0, %int-1, %13 : !torch.vtensor<[4,2,31,50],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[4,2,31,5,10],f32>
    %15 = torch.aten.permute %14, %1 : !torch.vtensor<[4,2,31,5,10],f32>, !torch.list<int> -> !torch.vtensor<[5,31,2,4,10],f32>
    return %15 : !torch.vtensor<[5,31,2,4,10],f32>
  }
}
