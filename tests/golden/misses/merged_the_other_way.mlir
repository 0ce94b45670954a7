// Near miss `merged_the_other_way` of `positions_first_merged`: Heads before batch: h·B + b. Nothing may read it as b·H + h.
// Read as: full, bias, 1 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[12,1,63,40],f32>, !torch.vtensor<[12,1,63,40],f32>, !torch.vtensor<[12,1,63,40],f32>, !torch.vtensor<[12,1,1,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[12,63,40],f32>, %arg1: !torch.vtensor<[12,63,40],f32>, %arg2: !torch.vtensor<[3,63],i1>, %arg3: !torch.vtensor<[12,63,40],f32>) -> !torch.vtensor<[12,63,40],f32> {
    %int1 = torch.constant.int 1
    %0 = torch.aten.unsqueeze %arg1, %int1 : !torch.vtensor<[12,63,40],f32>, !torch.int -> !torch.vtensor<[12,1,63,40],f32>
    %1 = torch.aten.unsqueeze %arg0, %int1 : !torch.vtensor<[12,63,40],f32>, !torch.int -> !torch.vtensor<[12,1,63,40],f32>
    %2 = torch.aten.unsqueeze %arg3, %int1 : !torch.vtensor<[12,63,40],f32>, !torch.int -> !torch.vtensor<[12,1,63,40],f32>
    %int12 = torch.constant.int 12
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %3 = torch.aten.arange %int12, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[12],si64>
    %int-1 = torch.constant.int -1
    %4 = torch.prim.ListConstruct %int-1, %int1, %int1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.view %3, %4 : !torch.vtensor<[12],si64>, !torch.list<int> -> !torch.vtensor<[12,1,1,1],si64>
    %int3 = torch.constant.int 3
    %6 = torch.aten.remainder.Scalar %5, %int3 : !torch.vtensor<[12,1,1,1],si64>, !torch.int -> !torch.vtensor<[12,1,1,1],si64>
    %int63 = torch.constant.int 63
    %7 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %8 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %9 = torch.aten.view %7, %8 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %10 = torch.prim.ListConstruct %6, %9 : (!torch.vtensor<[12,1,1,1],si64>, !torch.vtensor<[1,1,1,63],si64>) -> !torch.list<optional<vtensor>>
    %11 = torch.aten.index.Tensor %arg2, %10 : !torch.vtensor<[3,63],i1>, !torch.list<optional<vtensor>> -> !torch.vtensor<[12,1,1,63],i1>
    %float-2.000000e00 = torch.constant.float -2.000000e+00
    %float-0.000000e00 = torch.constant.float -0.000000e+00
    %12 = torch.aten.where.Scalar %11, %float-2.000000e00, %float-0.000000e00 : !torch.vtensor<[12,1,1,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[12,1,1,63],f32>
    %int6 = torch.constant.int 6
    %13 = torch.aten.to.dtype %12, %int6, %false, %false, %none : !torch.vtensor<[12,1,1,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[12,1,1,63],f32>
    %int0 = torch.constant.int 0
    %14:2 = torch.operator "torch.hyper.attention"(query = %0, key = %1, value = %2, bias = %13, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[12,1,63,40],f32>, !torch.vtensor<[12,1,63,40],f32>, !torch.vtensor<[12,1,63,40],f32>, !torch.vtensor<[12,1,1,63],f32>) -> (!torch.vtensor<[12,1,63,40],f32>, !torch.vtensor<[12,1,63],f32>) 
    %int2 = torch.constant.int 2
    %15 = torch.prim.ListConstruct %int0, %int2, %int3, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %16 = torch.aten.permute %14#0, %15 : !torch.vtensor<[12,1,63,40],f32>, !torch.list<int> -> !torch.vtensor<[12,63,40,1],f32>
    %17 = torch.aten.squeeze.dim %16, %int-1 : !torch.vtensor<[12,63,40,1],f32>, !torch.int -> !torch.vtensor<[12,63,40],f32>
    return %17 : !torch.vtensor<[12,63,40],f32>
  }
}
